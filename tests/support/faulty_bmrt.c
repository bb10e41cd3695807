/* libbmrt with launches that misbehave when told to. Everything else is the real library, which this one needs.
 *
 * SIMULATED_FAULT_FILE names a file which says, once it is there, what launches do: "hang" never return, "fail" fail,
 * "skip" succeed without doing anything, from then on and whatever the file says: what is left is the host's own time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef bool launch_function(void *, const char *, const void *, int, void *, int, bool, bool);

static launch_function *real_launch;
static const char *fault_file;
static bool skipping;

__attribute__((constructor)) static void begin(void) {
    real_launch = (launch_function *)dlsym(RTLD_NEXT, "bmrt_launch_tensor_ex");
    fault_file = getenv("SIMULATED_FAULT_FILE");
}

static void read_fault(char *word, size_t size) {
    FILE *file = fopen(fault_file, "r");
    word[0] = '\0';
    if (file == NULL) return;
    if (fgets(word, (int)size, file) == NULL) word[0] = '\0';
    fclose(file);
}

bool bmrt_launch_tensor_ex(void *runtime, const char *name, const void *inputs, int input_count, void *outputs,
                           int output_count, bool own_memory, bool own_strides) {
    if (skipping) return true;
    if (fault_file != NULL) {
        char word[16];
        read_fault(word, sizeof word);
        if (strncmp(word, "fail", 4) == 0) return false;
        if (strncmp(word, "skip", 4) == 0) skipping = true;
        while (strncmp(word, "hang", 4) == 0) pause();
    }
    return real_launch(runtime, name, inputs, input_count, outputs, output_count, own_memory, own_strides);
}
