/* Descriptors with one thing wrong each, chosen by a define; NEWER_MINOR is one that must be accepted. */
#include <weir/weir.h>

#ifdef BAD_MAGIC
#define MAGIC UINT64_C(0x1234)
#else
#define MAGIC WEIR_JOB_MAGIC
#endif
#ifdef OTHER_MAJOR
#define MAJOR (WEIR_API_MAJOR + 6)
#else
#define MAJOR WEIR_API_MAJOR
#endif
#ifdef NEWER_MINOR
#define MINOR (WEIR_API_MINOR + 1)
#else
#define MINOR WEIR_API_MINOR
#endif
#ifdef SHORT_DESCRIPTOR
#define SIZE offsetof(weir_job_descriptor, main)
#else
#define SIZE sizeof(weir_job_descriptor)
#endif
#ifdef NO_NAME
#define NAME NULL
#else
#define NAME "Bad Descriptor"
#endif
#ifdef NO_MAIN
#define MAIN NULL
#else
#define MAIN build

#if defined MISSING_SYMBOL || defined OTHER_MAJOR
/* What a libweir of another version may have. */
WEIR_PUBLIC void weir_function_of_another_version(weir_env *env);
#endif

static int build(weir_env *env, int argc, char **argv)
{
    (void)argc;
    (void)argv;
#if defined MISSING_SYMBOL || defined OTHER_MAJOR
    weir_function_of_another_version(env);
#endif
    weir_discard(weir_from_sequence(env, WEIR_NAMED("Sequence", "sequence"), .from = 1, .to = 1));
    return 0;
}
#endif

WEIR_PUBLIC extern const weir_job_descriptor weir_job_descriptor_v1;
const weir_job_descriptor weir_job_descriptor_v1 = {MAGIC, SIZE, MAJOR, MINOR, NAME, MAIN};
