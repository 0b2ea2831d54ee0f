/* A worker's start: loads libweir-worker.so, which is found beside the executable, and runs it. */
#ifndef WEIR_TASKMANAGER_WORKER_MAIN_H
#define WEIR_TASKMANAGER_WORKER_MAIN_H

int worker_main(int argc, char **argv);

#endif
