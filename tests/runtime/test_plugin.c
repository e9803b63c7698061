/* test_plugin.c -- the device "cuda": what is said where its plugin, a card or a driver is missing; one step through it
 *
 * PHA_TEST_PLUGIN names the plugin whose kernels are compiled for the host; without it (no C++ compiler) the rest is
 * left out.
 */
#include <stdlib.h>

#include "backend/backend.h"
#include "base/log.h"
#include "ops/attention/attention.h"
#include "support/check.h"
#include "support/root.h"

static void no_plugin(void **state)
{
    (void)state;
    pha__device *d;
    setenv("PHA_CUDA_PLUGIN", "/nowhere/libpha-cuda.so", 1);
    FAILS(NO_DEVICE, "can't be loaded: /nowhere/libpha-cuda.so", pha__device_open(&d, "cuda", 0));
    assert_null(d);
    char text[300];
    snprintf(text, sizeof text, "%s/text.so", root);
    FILE *f = fopen(text, "w");
    fputs("no library", f);
    fclose(f);
    setenv("PHA_CUDA_PLUGIN", text, 1);
    FAILS(NO_DEVICE, "text.so", pha__device_open(&d, "cuda", 0));
    setenv("PHA_CUDA_PLUGIN", "libc.so.6", 1);
    FAILS(NO_DEVICE, "no plugin of this build", pha__device_open(&d, "cuda", 0));
}

static void cards(void **state)
{
    (void)state;
    pha__device *d;
    const char *plugin = getenv("PHA_TEST_PLUGIN");
    if (!plugin) skip();
    setenv("PHA_CUDA_PLUGIN", plugin, 1);
    setenv("PHA_EMULATED_CARD", "none", 1);
    FAILS(NO_DEVICE, "the driver sees none", pha__device_open(&d, "cuda", 0));
    setenv("PHA_EMULATED_CARD", "old", 1);
    FAILS(NO_DEVICE, "compute capability 7.0; at least 8.0", pha__device_open(&d, "cuda:0", 0));
    unsetenv("PHA_EMULATED_CARD");
    FAILS(NO_DEVICE, "there are cuda:0 to cuda:0", pha__device_open(&d, "cuda:1", 0));
    FAILS(NO_DEVICE, "cards are numbered", pha__device_open(&d, "cuda:first", 0));
    FAILS(NO_DEVICE, "cards are numbered", pha__device_open(&d, "cuda:-1", 0));
    OK(pha__device_open(&d, "cuda", 0));
    pha__device_info info;
    d->backend->info(d, &info);
    assert_string_equal(info.name, "emulated");
    double seconds;
    OK(d->backend->mark(d, 0));
    OK(d->backend->mark(d, 1));
    OK(d->backend->between(d, 0, 1, &seconds));
    assert_true(seconds >= 0);
    pha__device_close(d);
}

static char noted[400];

static void hear(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level;
    snprintf(noted, sizeof noted, "%s", text);
}

/* Without its library of products the card works, and says so; with it its version is told. */
static void products(void **state)
{
    (void)state;
    pha__device *d;
    pha__device_info info;
    char own[400];
    const char *library = getenv("PHA_CUBLASLT");
    if (!getenv("PHA_TEST_PLUGIN") || !library) skip();
    snprintf(own, sizeof own, "%s", library);
    OK(pha__device_open(&d, "cuda", 0));
    d->backend->info(d, &info);
    assert_non_null(strstr(info.version, ", cuBLASLt 1"));
    pha__device_close(d);
    pha__log_to(hear, NULL);
    setenv("PHA_CUBLASLT", "/nowhere/libcublasLt.so", 1);
    OK(pha__device_open(&d, "cuda", 0));
    d->backend->info(d, &info);
    assert_null(strstr(info.version, "cuBLASLt"));
    pha__device_close(d);
    pha__log_to(NULL, NULL);
    if (!strstr(noted, "without cuBLASLt (/nowhere/libcublasLt.so")) fail_msg("%s", noted);
    setenv("PHA_CUBLASLT", own, 1);
}

/* What can't run there is said when it is planned, not when it runs. */
static void refusals(void **state)
{
    (void)state;
    pha__device *d;
    pha__needs needs;
    if (!getenv("PHA_TEST_PLUGIN")) skip();
    OK(pha__device_open(&d, "cuda", 0));
    assert_null(d->backend->kernel(d, "no such op"));
    const void *kernel = d->backend->kernel(d, "matmul");
    pha__args a = {.B = 1, .T = 4, .n_in = 2};
    a.in[0] = (pha__view){.ld = 8, .width = 8, .dtype = PHA__F32};
    a.in[1] = (pha__view){.ld = 8, .rows = 8, .width = 8, .dtype = PHA__F32_PANEL};
    FAILS(NO_DEVICE, "fp32 and bf16 alone", d->backend->needs(d, kernel, &a, PHA__FORWARD, &needs));
    a.in[1].dtype = PHA__BF16;
    OK(d->backend->needs(d, kernel, &a, PHA__FORWARD, &needs));

    pha__attention_attr heads = {.n_head = 2, .n_kv_head = 1, .head_width = 300};
    kernel = d->backend->kernel(d, "attention");
    a.n_in = 3, a.attr = &heads;
    FAILS(NO_DEVICE, "cuda: attention: its heads are 300 wide", d->backend->needs(d, kernel, &a, PHA__FORWARD, &needs));
    pha__device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_plugin),
        cmocka_unit_test(cards),
        cmocka_unit_test(products),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
