/* test_ranks.c -- several ranks train what one trains, bit for bit; they go on on another number; what one can't do
 * none does. Ranks are threads here; with processes: tests/dist/run.sh. */
/* long file: all promises of ranks are tried on runs of one kind */
#include "runtime/train/run_folder.h"
#include "runtime/train/train.h"
#include "support/ranks.h"
#include "training.h"

enum { MOST = 8 };

typedef struct run {
    pha_train_options o;
    pha_train_options other; /* of rank `odd`, if .data is set */
    int odd;
    pha_train_result result[MOST];
    pha_status status[MOST];
    char text[MOST][400];
} run;

static void train(pha__comm *c, void *context)
{
    run *r = context;
    pha_train_options o = r->other.data && c->rank == r->odd ? r->other : r->o;
    r->status[c->rank] = pha__train_rank(&o, &r->result[c->rank], c);
    snprintf(r->text[c->rank], sizeof r->text[0], "%s", pha_errmsg());
}

static run small(const char *out)
{
    run r = {.o = options()};
    static char names[64][300];
    static int n;
    snprintf(names[n % 64], sizeof names[0], "%s", in_root(out));
    r.o.out = names[n++ % 64];
    r.o.batch = 8, r.o.lanes = 4, r.o.micro_batch = 1, r.o.steps = 7, r.o.eval_every = 3, r.o.threads = 1;
    r.o.keep_best = 2, r.o.eval_tokens = 900;
    for (int k = 0; k < MOST; k++) r.result[k].averaged_valid_ppl = NAN;
    return r;
}

/* Returns the bytes that went through the memory of the hosts. */
static int64_t ranks(run *r, int size)
{
    int64_t bytes = ranks_run(size, train, r);
    for (int k = 0; k < size; k++)
        if (r->status[k]) fail_msg("rank %d of %d: %s", k, size, r->text[k]);
    return bytes;
}

/* What training left there is the same to the last bit. */
static void same_file(const char *a, const char *b, const char *name)
{
    char *x, *y;
    size_t n, m;
    char path[2][400];
    snprintf(path[0], sizeof path[0], "%s/%s", a, name);
    snprintf(path[1], sizeof path[1], "%s/%s", b, name);
    OK(pha__read_file(&x, &n, path[0], 1 << 26));
    OK(pha__read_file(&y, &m, path[1], 1 << 26));
    if (n != m || memcmp(x, y, n) != 0) fail_msg("%s differs from %s", path[0], path[1]);
    pha__free(x);
    pha__free(y);
}

static void same_run(const char *a, const char *b)
{
    static const char *const names[] = {"checkpoint/weights.safetensors", "checkpoint/m.safetensors",
                                        "checkpoint/v.safetensors", "checkpoint.previous/m.safetensors",
                                        "checkpoint.previous/weights.safetensors", "checkpoint/trainer.json",
                                        "model/model.safetensors", "checkpoint/carried.safetensors"};
    char carried[400];
    snprintf(carried, sizeof carried, "%s/checkpoint/carried.safetensors", a);
    int n = sizeof names / sizeof *names - !pha__exists(carried);
    for (int i = 0; i < n; i++) same_file(a, b, names[i]);
}

static char windows[300]; /* a model whose state does not grow */
static char looked[300];  /* one that shows all there is to show */

/* What a log says of the model's insides: its lines of that kind, in order; freed by the caller. */
static char *details(const char *out)
{
    char path[400], *log, *end, *kept;
    size_t n, size = 0;
    snprintf(path, sizeof path, "%s/log.jsonl", out);
    OK(pha__read_file(&log, &n, path, 1 << 26));
    kept = calloc(n + 1, 1);
    for (char *line = log; (end = memchr(line, '\n', n - (size_t)(line - log))) != NULL; line = end + 1) {
        *end = 0;
        if (strstr(line, "\"detail\"")) size += (size_t)sprintf(kept + size, "%s\n", line);
    }
    pha__free(log);
    return kept;
}

static void same_details(const char *a, const char *b)
{
    char *x = details(a), *y = details(b);
    assert_true(strlen(x) > 1000 && !strcmp(x, y));
    free(x), free(y);
}

/* ---- the same bits --------------------------------------------------------------------------------------- */

static void same_on_any_number(const char *name, void (*change)(pha_train_options *o))
{
    char folder[60];
    run one = small("unused");
    for (int size = 1; size <= 4; size *= 2) {
        snprintf(folder, sizeof folder, "%s-%d", name, size);
        run r = small(folder);
        change(&r.o);
        ranks(&r, size);
        if (size == 1) one = r;
        same_run(one.o.out, r.o.out);
        same_details(one.o.out, r.o.out);
        for (int k = 0; k < size; k++) { /* and every rank knows it */
            assert_true(r.result[k].train_loss == one.result[0].train_loss);
            assert_true(r.result[k].valid_loss == one.result[0].valid_loss);
            assert_true(r.result[k].averaged_valid_ppl == one.result[0].averaged_valid_ppl);
        }
    }
}

/* At the end, behind the last evaluation, somebody removes the snapshots. */
static void remove_snapshots(void *user, const pha_progress *p)
{
    char path[400];
    snprintf(path, sizeof path, "%s/best", (const char *)user);
    if (p->done >= p->total) OK(pha__remove_tree(path));
}

/* Then none of the ranks evaluates a mean, and model/ has the last weights. */
static void test_no_mean(void **state)
{
    (void)state;
    for (int size = 1; size <= 2; size++) {
        run r = small(size == 1 ? "no-mean-1" : "no-mean-2"), whole = small(size == 1 ? "last-1" : "last-2");
        whole.o.average_best = -1;
        ranks(&whole, size);
        r.o.progress = remove_snapshots, r.o.user = (void *)(uintptr_t)r.o.out;
        ranks(&r, size);
        for (int k = 0; k < size; k++) assert_true(isnan(r.result[k].averaged_valid_ppl));
        same_file(whole.o.out, r.o.out, "model/model.safetensors");
    }
}

static void plain(pha_train_options *o) { (void)o; }
static void half(pha_train_options *o) { o->precision = PHA_BF16; }
static void half_looked(pha_train_options *o) { half(o), o->config = looked, o->detail_every = 2; }
static void muon(pha_train_options *o) { o->optimizer = PHA_OPTIMIZER_MUON; }
static void carry(pha_train_options *o) { o->carry = true, o->config = windows, o->attn_dropout = 0; }
static void recompute(pha_train_options *o) { o->recompute = true, o->decay_all = true, o->micro_batch = 2; }

static void test_same_bits(void **state)
{
    (void)state;
    same_on_any_number("plain", plain);
    same_on_any_number("half", half);
    same_on_any_number("looked", half_looked);
    same_on_any_number("muon", muon);
    same_on_any_number("recompute", recompute);
    same_on_any_number("carry", carry);
}

/* The leading rank alone writes what all of them do together, which takes messages, and either reads the other's. */
static void alone_or_together(const char *name, void (*change)(pha_train_options *o))
{
    int64_t bytes[2];
    run r[2];
    for (int i = 0; i < 2; i++) {
        char folder[60];
        snprintf(folder, sizeof folder, "%s-%s", name, i ? "alone" : "together");
        r[i] = small(folder);
        change(&r[i].o);
        r[i].o.steps = 4;
        setenv("PHA_CHECKPOINT", i ? "leader" : "", 1);
        bytes[i] = ranks(&r[i], 4);
    }
    bool everywhere = r[0].o.optimizer == PHA_OPTIMIZER_MUON; /* each rank has all moments: there is nothing to send */
    same_run(r[0].o.out, r[1].o.out);
    assert_true(everywhere || bytes[0] < bytes[1]);
    for (int i = 0; i < 2; i++) {
        setenv("PHA_CHECKPOINT", i ? "" : "leader", 1);
        r[i].o.resume = true, r[i].o.steps = 7;
        int64_t more = ranks(&r[i], 4);
        bytes[1 - i] = more;
    }
    same_run(r[0].o.out, r[1].o.out);
    assert_true(everywhere || bytes[0] < bytes[1]);
    unsetenv("PHA_CHECKPOINT");
}

static void test_alone_or_together(void **state)
{
    (void)state;
    alone_or_together("plain", plain);
    alone_or_together("half", half);
    alone_or_together("muon", muon);
    alone_or_together("carry", carry);
}

/* Microbatches are the leading rank's: an evaluation that ranks share is cut by them too. */
static void test_one_size_of_microbatches(void **state)
{
    (void)state;
    run one = small("micro-one"), two = small("micro-two");
    ranks(&one, 1);
    two.other = two.o, two.odd = 1, two.other.micro_batch = 2;
    ranks(&two, 2);
    same_file(one.o.out, two.o.out, "checkpoint/weights.safetensors");
    same_file(one.o.out, two.o.out, "checkpoint/m.safetensors");
}

/* On a device whose memory the host can't touch everything goes by copies. */
static void test_same_bits_far(void **state)
{
    (void)state;
    run near = small("near");
    ranks(&near, 1);
    setenv("PHA_DEVICE", "far", 1);
    run far = small("far");
    ranks(&far, 2);
    unsetenv("PHA_DEVICE");
    same_run(near.o.out, far.o.out);
}

/* On emulated cards, whose gradients go through the hosts or from card to card; also where a card computes as late as
 * it may, so that a message that does not wait for it has old numbers. */
static void test_same_bits_on_cards(void **state)
{
    (void)state;
    static const char *const ways[] = {"", "none"};
    if (!getenv("PHA_CUDA_PLUGIN") || !getenv("PHA_NCCL")) skip();
    setenv("PHA_DEVICE", "far:cuda", 1);
    run one = small("one-card");
    one.o.steps = 3;
    ranks(&one, 1);
    int64_t through_hosts[2];
    for (int i = 0; i < 2; i++) {
        setenv("PHA_TEST_NCCL", ways[i], 1);
        run two = small(i ? "cards-host" : "cards-linked");
        two.o.steps = 3;
        through_hosts[i] = ranks(&two, 2);
        same_run(one.o.out, two.o.out);
    }
    assert_true(through_hosts[0] < through_hosts[1] / 2); /* weights at the beginning, files, and words */
    setenv("PHA_TEST_NCCL", "", 1);
    setenv("PHA_EMULATED_LAZY", "1", 1);
    setenv("PHA_DEVICE", "cuda:0", 1);
    run late = small("cards-late");
    late.o.steps = 3;
    ranks(&late, 2);
    same_run(one.o.out, late.o.out);
    unsetenv("PHA_EMULATED_LAZY");
    unsetenv("PHA_TEST_NCCL");
    unsetenv("PHA_DEVICE");
}

/* One lane is what there was before there were lanes: all microbatches in order. */
static void test_lanes_are_a_tree(void **state)
{
    (void)state;
    run one = small("one-lane"), two = small("two-lanes");
    one.o.lanes = 1, two.o.lanes = 2;
    ranks(&one, 1);
    ranks(&two, 1);
    assert_true(fabs(one.result[0].train_loss - two.result[0].train_loss) < 1e-4); /* another order of sums */
    char *x, *y;
    size_t n, m;
    char path[2][400];
    snprintf(path[0], sizeof path[0], "%s/model/model.safetensors", one.o.out);
    snprintf(path[1], sizeof path[1], "%s/model/model.safetensors", two.o.out);
    OK(pha__read_file(&x, &n, path[0], 1 << 26));
    OK(pha__read_file(&y, &m, path[1], 1 << 26));
    assert_true(n == m && memcmp(x, y, n) != 0);
    pha__free(x);
    pha__free(y);
}

/* ---- going on -------------------------------------------------------------------------------------------- */

static double stop_at;

/* Some ranks see it in the middle of a step, some before the next: the step is made by all or by none. */
static void stop_there(void *user, const pha_progress *p)
{
    (void)user;
    if (!strcmp(p->phase, "train") && p->done >= stop_at) pha_request_stop();
}

static void go_on(const char *name, void (*change)(pha_train_options *o))
{
    static const int numbers[][3] = {{1, 2, 4}, {4, 1, 2}, {2, 4, 1}};
    static const double stops[] = {2, 5, 1e9};
    char folder[60];
    snprintf(folder, sizeof folder, "%s-whole", name);
    run whole = small(folder);
    change(&whole.o);
    ranks(&whole, 1);
    for (int i = 0; i < 3; i++) {
        snprintf(folder, sizeof folder, "%s-parts-%d", name, i);
        run r = small(folder);
        change(&r.o);
        r.o.progress = stop_there;
        for (int k = 0; k < 3; k++) {
            r.o.resume = k > 0, stop_at = stops[k];
            ranks_run(numbers[i][k], train, &r);
            pha_clear_stop();
            for (int n = 0; n < numbers[i][k]; n++) assert_int_equal(r.status[n], k < 2 ? PHA_STOPPED : PHA_OK);
        }
        same_file(whole.o.out, r.o.out, "checkpoint/weights.safetensors");
        same_file(whole.o.out, r.o.out, "checkpoint/m.safetensors");
        same_file(whole.o.out, r.o.out, "checkpoint/v.safetensors");
        same_file(whole.o.out, r.o.out, "model/model.safetensors");
    }
}

static void test_goes_on_on_another_number(void **state)
{
    (void)state;
    go_on("plain", plain);
    go_on("half", half);
    go_on("carry", carry);
}

static void break_file(const char *folder)
{
    char path[400];
    snprintf(path, sizeof path, "%s/checkpoint/m.safetensors", folder);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, -20, SEEK_END);
    int c = fgetc(f);
    fseek(f, -20, SEEK_END);
    fputc(c ^ 1, f);
    fclose(f);
}

/* A damaged checkpoint makes way for the one before it, whoever reads. */
static void test_steps_back_together(void **state)
{
    (void)state;
    run whole = small("undamaged"), r = small("damaged");
    ranks(&whole, 2);
    ranks(&r, 2);
    break_file(r.o.out);
    r.o.resume = true;
    ranks(&r, 4);
    same_run(whole.o.out, r.o.out);
}

/* All that the others need comes from the leading one: their names for the folder mean nothing. */
static void test_folder_is_the_leaders(void **state)
{
    (void)state;
    run whole = small("one-folder"), r = small("led");
    ranks(&whole, 1);
    r.other = r.o, r.odd = 1, r.other.out = in_root("elsewhere");
    r.o.progress = stop_there, stop_at = 4;
    ranks_run(2, train, &r);
    pha_clear_stop();
    r.o.resume = r.other.resume = true, stop_at = 1e9;
    ranks(&r, 2);
    same_file(whole.o.out, r.o.out, "model/model.safetensors");
    same_file(whole.o.out, r.o.out, "checkpoint/v.safetensors");
    assert_false(pha__exists(r.other.out));
}

/* ---- what one can't do ------------------------------------------------------------------------------------ */

static void expect(run *r, int size, pha_status code, const char *text)
{
    ranks_run(size, train, r);
    for (int k = 0; k < size; k++) {
        if (r->status[k] != code) fail_msg("rank %d: status %d: %s", k, r->status[k], r->text[k]);
        if (!strstr(r->text[k], text)) fail_msg("rank %d: '%s' does not say '%s'", k, r->text[k], text);
    }
    assert_false(pha__exists(r->o.out)); /* nothing is left of it */
}

static void test_one_message(void **state)
{
    (void)state;
    char other[300];
    snprintf(other, sizeof other, "%s", in_root("other-data"));
    prepare_text(other, 900);
    run r = small("bad");
    r.other = r.o, r.odd = 2, r.other.data = other;
    expect(&r, 4, PHA_BAD_INPUT, "rank 2 (a thread): ");
    assert_non_null(strstr(r.text[0], "holds other data"));
    r.other.data = "nowhere";
    expect(&r, 4, PHA_IO, "rank 2 (a thread): nowhere");
    r.other = r.o, r.other.lr = 5e-3;
    expect(&r, 4, PHA_BAD_INPUT, "rank 2 (a thread): has lr = 0.005, the leading rank 0.003");
}

/* In a step, too: rank 2 has no numbers to bring. */
static void bring_nothing(pha__comm *c, void *context)
{
    pha_status *seen = context;
    pha__lanes l = {0};
    int64_t count = c->rank;
    pha_status mine = pha__lanes_open(&l, c, 4, 8, 1);
    if (!mine) mine = pha__lanes_count(&l, PHA_OK, &count);
    if (!mine && count != 0 + 1 + 2 + 3) mine = PHA_FAILED;
    if (!mine) mine = pha__lanes_count(&l, c->rank == 2 ? pha__fail(PHA_IO, "a shard is gone") : PHA_OK, &count);
    seen[c->rank] = mine;
    pha__lanes_close(&l);
}

static void test_none_goes_on_alone(void **state)
{
    (void)state;
    pha_status seen[4];
    ranks_run(4, bring_nothing, seen);
    for (int r = 0; r < 4; r++) assert_int_equal(seen[r], PHA_IO);
}

static void test_refused(void **state)
{
    (void)state;
    run r = small("refused");
    r.o.lanes = 3;
    expect(&r, 2, PHA_USAGE, "lanes = 3 is no power of two");
    r.o.lanes = 8, r.o.batch = 12;
    expect(&r, 2, PHA_USAGE, "can't be cut into 8 lanes");
    r.o.lanes = 4, r.o.batch = 8, r.o.micro_batch = 4;
    expect(&r, 2, PHA_USAGE, "no multiple of micro_batch = 4");
}

static int open_all(void **state)
{
    set_up(state);
    snprintf(windows, sizeof windows, "%s/windows.json", root);
    char keys[200];
    snprintf(keys, sizeof keys, "%s, \"window\": 16", training_sizes);
    lab_write_config(windows, &(lab_variant){"windows", "pha", keys}, 0);
    snprintf(looked, sizeof looked, "%s/looked.json", root);
    snprintf(keys, sizeof keys, "%s, \"mix\": \"dynamic\"", training_sizes);
    lab_write_config(looked, &(lab_variant){"looked", "pha", keys}, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_alone_or_together),
        cmocka_unit_test(test_one_size_of_microbatches),
        cmocka_unit_test(test_same_bits_far),
        cmocka_unit_test(test_no_mean),
        cmocka_unit_test(test_same_bits_on_cards),
        cmocka_unit_test(test_lanes_are_a_tree),
        cmocka_unit_test(test_goes_on_on_another_number),
        cmocka_unit_test(test_steps_back_together),
        cmocka_unit_test(test_folder_is_the_leaders),
        cmocka_unit_test(test_one_message),
        cmocka_unit_test(test_none_goes_on_alone),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, open_all, root_teardown);
}
