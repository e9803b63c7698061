/* test_repro_ranks.c -- an experiment made by several ranks: the same results, each run made once, one outcome. Ranks
 * are threads here; with processes: tests/dist/run.sh. */
#include "experiments.h"
#include "support/ranks.h"

enum { MOST = 4, RUNS = 9 };

typedef struct job {
    pha_repro_options o;
    pha_status status[MOST];
    pha_repro_result result[MOST];
    char text[MOST][300];
    char *table[MOST];
} job;

static void work(pha__comm *c, void *context)
{
    job *j = context;
    pha_repro_options o = j->o;
    j->status[c->rank] = pha__repro_rank(&o, &j->table[c->rank], &j->result[c->rank], c);
    snprintf(j->text[c->rank], sizeof j->text[0], "%s", pha_errmsg());
}

static void drop(job *j)
{
    for (int r = 0; r < MOST; r++) pha_free(j->table[r]), j->table[r] = NULL;
}

static json_t *results_of(const char *out)
{
    char path[400];
    json_t *json;
    snprintf(path, sizeof path, "%s/results.json", out);
    OK(pha__json_load(&json, path, 1 << 20));
    json_t *runs = json_incref(json_object_get(json, "runs"));
    json_decref(json);
    return runs;
}

static void same_results(const char *a, const char *b)
{
    static const char *const keys[] = {"nll", "token_ppl", "train_loss", "steps", "lr"};
    json_t *x = results_of(a), *y = results_of(b), *value;
    const char *run;
    assert_int_equal(json_object_size(x), RUNS);
    assert_int_equal(json_object_size(y), RUNS);
    json_object_foreach(x, run, value)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            assert_true(pha__result_number(value, keys[k]) ==
                        pha__result_number(json_object_get(y, run), keys[k]));
    json_decref(x), json_decref(y);
}

static void test_same_results(void **state)
{
    (void)state;
    char one[300], name[40];
    snprintf(one, sizeof one, "%s", in_root("ranks-1"));
    for (int size = 1; size <= 4; size *= 2) {
        snprintf(name, sizeof name, "ranks-%d", size);
        job j = {.o = repro(WHOLE, name)};
        ranks_run(size, work, &j);
        for (int r = 0; r < size; r++) {
            if (j.status[r]) fail_msg("rank %d of %d: %s", r, size, j.text[r]);
            assert_true(j.result[r].done == RUNS && j.result[r].runs == RUNS);
            assert_non_null(strstr(j.table[r], "## 256 tokens"));
        }
        same_results(one, folder);
        drop(&j);
        ranks_run(size, work, &j); /* there is nothing left to do */
        for (int r = 0; r < size; r++) assert_int_equal(j.status[r], PHA_OK);
        same_results(one, folder);
        drop(&j);
    }
}

/* Stopped in the middle of a turn; another number of ranks goes on. */
static _Atomic int made;
static void stop_once(void *user, const pha_progress *p)
{
    (void)user;
    if (!strcmp(p->unit, "steps") && ++made == 9) pha_request_stop();
}

static void test_goes_on(void **state)
{
    (void)state;
    char one[300];
    snprintf(one, sizeof one, "%s", in_root("ranks-1"));
    job j = {.o = repro(WHOLE, "stopped")};
    j.o.progress = stop_once;
    ranks_run(2, work, &j);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(j.status[r], PHA_STOPPED);
        assert_true(j.result[r].done < RUNS && j.result[r].done == j.result[0].done);
    }
    pha_clear_stop();
    drop(&j);
    ranks_run(4, work, &j);
    for (int r = 0; r < 4; r++) assert_int_equal(j.status[r], PHA_OK);
    same_results(one, folder);
    drop(&j);
}

/* One outcome, whoever it comes from. */
static void test_one_outcome(void **state)
{
    (void)state;
    job j = {.o = repro("{" PLAIN ", " RATES ", " STAGES "}", "without-models")};
    ranks_run(2, work, &j);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(j.status[r], PHA_BAD_INPUT);
        assert_string_equal(j.text[r], j.text[0]);
    }
    j = (job){.o = repro(WHOLE, "ranks-1")};
    j.o.minutes = 1e-12;
    ranks_run(2, work, &j); /* all is there: no time is needed */
    for (int r = 0; r < 2; r++) assert_int_equal(j.status[r], PHA_OK);
    drop(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_results),
        cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_one_outcome),
    };
    return cmocka_run_group_tests(tests, set_up_texts, root_teardown);
}
