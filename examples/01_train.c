/* 01_train.c -- text to a trained model: pha_prepare, pha_trainer_open, pha_trainer_step, pha_trainer_save_model
 *
 *     01_train TEXT CONFIG FOLDER        (CONFIG: configs/quickstart.json, say)
 */
#include <stdio.h>

#include "pha.h"

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, pha_errmsg());
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s TEXT CONFIG FOLDER\n", argv[0]);
        return 2;
    }
    char data[512], model[512];
    snprintf(data, sizeof data, "%s/data", argv[3]);
    snprintf(model, sizeof model, "%s/model", argv[3]);

    /* A vocabulary of at most 1024 tokens, and token shards. */
    const char *inputs[] = {argv[1]};
    pha_prepare_options prepare = {.inputs = inputs, .n_inputs = 1, .out = data, .vocab_size = 1024};
    pha_prepare_result prepared;
    if (pha_prepare(&prepare, &prepared)) return failed("prepare");
    printf("%llu tokens, vocabulary %d\n", (unsigned long long)prepared.train.tokens, prepared.vocab_size);

    /* Zero means "default" in every option. */
    pha_train_options options = {.config = argv[2],
                                 .data = data,
                                 .context = 64,
                                 .batch = 8,
                                 .micro_batch = 8,
                                 .steps = 30,
                                 .lr = 2e-3,
                                 .seed = 1};
    pha_trainer *trainer;
    if (pha_trainer_open(&trainer, &options)) return failed("open");
    for (int i = 0; i < 30; i++) {
        pha_step step;
        if (pha_trainer_step(trainer, &step)) return failed("step");
        if (step.step % 10 == 0)
            printf("step %lld  loss %.3f  gradient norm %.2f\n", (long long)step.step, step.loss, step.gradient_norm);
    }
    if (pha_trainer_save_model(trainer, model)) return failed("save");
    pha_trainer_close(trainer);
    printf("wrote %s\n", model);
    return 0;
}
