/* A shared object that is not a job. */
extern int weir_no_job;
int weir_no_job = 1;
