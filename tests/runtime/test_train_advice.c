/* test_train_advice.c -- what is odd about a run is told before its first step, and nothing else */
#include "telling.h"

typedef struct case_of_advice {
    void (*change)(pha_train_options *o);
    const char *text;
} case_of_advice;

static char few[300], bare[300], many[300], linear[300];

static void more_than_data(pha_train_options *o) { o->data = few, o->batch = 64, o->eval_tokens = 0; }
static void late_warmup(pha_train_options *o) { o->warmup = 4; }
static void rare_eval(pha_train_options *o) { o->eval_every = 5, o->checkpoint_every = 4; }
static void rare_checkpoint(pha_train_options *o) { o->checkpoint_every = 5; }
static void idle_plateau(pha_train_options *o) { o->schedule = PHA_SCHEDULE_PLATEAU, o->eval_every = 1; }
static void blind_plateau(pha_train_options *o) { o->schedule = PHA_SCHEDULE_PLATEAU, o->data = bare; }
static void more_averaged(pha_train_options *o) { o->keep_best = 2; }
static void none_kept(pha_train_options *o) { o->keep_best = 1, o->average_best = 2; }
static void short_documents(pha_train_options *o) { o->data = many; }
static void long_context(pha_train_options *o) { o->data = few, o->context = 300; }
static void no_attention(pha_train_options *o) { o->config = linear, o->attn_dropout = 0.1; }
static void nothing(pha_train_options *o) { (void)o; }

static const case_of_advice odd[] = {
    {more_than_data, "0 a step of 64 sequences is more than the data has: its "},
    {late_warmup, "0 a warm-up of 4 steps leaves nothing of the run's 4: "},
    {rare_eval, "1 eval_every = 5 is beyond the run's 4 steps"},
    {rare_checkpoint, "1 checkpoint_every = 5 is beyond the run's 4 steps"},
    {idle_plateau, "0 the plateau will see 4 losses of the validation split and cuts the rate after 5 at the earliest"},
    {blind_plateau, "0 the plateau will see 0 losses"},
    {more_averaged, "1 average_best = 3, but no more than keep_best = 2 snapshots are kept and averaged"},
    {none_kept, "1 average_best = 2, but no more than keep_best = 1 snapshots are kept; nothing is averaged"},
    {short_documents, "1 documents have "},
    {long_context, "1 the validation split has "},
    {no_attention, "0 attn_dropout = 0.1 does nothing: no layer of this model has softmax attention"},
    {nothing, "1 steps of less than 8 sequences are not judged by their loss"},
    {nothing, " training tokens ("},
};

/* Each oddity is told, none of the others with it, and the run goes its way; a resumed run is not told again. */
static void test_advice(void **state)
{
    (void)state;
    char run[300];
    keep_path(few, "few"), keep_path(bare, "bare"), keep_path(many, "many");
    keep_path(linear, "linear.json");
    lab_write_config(linear, lab_find("linear attention"), 0);
    prepare_text(few, 60);
    const char *inputs[] = {in_root("text.txt")};
    pha_prepare_options p = {.inputs = inputs, .n_inputs = 1, .out = bare, .tokenizer = "bytes", .valid_fraction = -1,
                             .test_fraction = -1};
    pha_prepare_result prepared;
    OK(pha_prepare(&p, &prepared));
    FILE *f = fopen(in_root("lines.jsonl"), "w");
    for (int i = 0; i < 3000; i++) fputs("{\"text\": \"ab\"}\n", f);
    fclose(f);
    inputs[0] = in_root("lines.jsonl");
    p.out = many, p.valid_fraction = 0.1;
    OK(pha_prepare(&p, &prepared));
    keep_path(run, "advised");
    enum { N = sizeof odd / sizeof *odd };
    for (int i = 0; i < N; i++) {
        pha_train_options o = options();
        pha_train_result result;
        o.steps = 4, o.warmup = -1, o.eval_tokens = 100, o.eval_every = 2, o.out = run;
        odd[i].change(&o);
        OK(pha__remove_tree(run));
        OK(train(&o, &result));
        tells(odd[i].text);
        for (int k = 0; k < N - 2; k++) {
            bool same_run = odd[k].change == odd[i].change ||
                            (odd[i].change == long_context && odd[k].change == more_than_data) ||
                            (odd[i].change == blind_plateau && odd[k].change == idle_plateau);
            if (!same_run && k != i) tells_not(odd[k].text);
        }
        o.resume = true, o.steps = 6;
        OK(train(&o, &result));
        tells_not(odd[i].text);
    }
    pha_train_options o = options();
    pha_train_result result;
    pha_trainer *t = open_trainer(&o);
    uint64_t windows = pha__loader_windows(&t->loader);
    pha_trainer_close(t);
    o.batch = (int32_t)windows, o.micro_batch = 1, o.steps = 1, o.eval_tokens = 100, o.out = run, o.warmup = -1;
    OK(pha__remove_tree(run));
    OK(train(&o, &result)); /* an epoch in one step: next to nothing is left out, and its batch is large */
    tells_not("training tokens (");
    tells_not("not judged");
    tells_not("warm-up");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_advice)};
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
