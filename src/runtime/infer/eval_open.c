/* eval_open.c -- a model and the split that it is to score */
#include <string.h>

#include "base/range.h"
#include "runtime/infer/eval.h"

static pha_status check_tokenizer(const pha_model *m, const pha__tokens *tokens, const char *data)
{
    if (!m->tokenizer || pha__tokenizer_hash(m->tokenizer) == pha__tokens_tokenizer_hash(tokens)) return PHA_OK;
    FAIL(BAD_INPUT,
         "%s: was prepared with another tokenizer (%016llx) than that of %s (%016llx); prepare the text with "
         "--tokenizer %s",
         data, (unsigned long long)pha__tokens_tokenizer_hash(tokens), m->folder,
         (unsigned long long)pha__tokenizer_hash(m->tokenizer), m->folder);
}

/* A folder of an older version does not name its end token; the model's tokenizer does. */
static pha_status text_of(pha__eval_text *text, const pha_model *m, const char *folder, const char *split)
{
    pha__data data;
    TRY(pha__data_info(&text->info, folder, split));
    TRY(pha__data_read(&data, folder));
    text->end_token = data.end_token;
    if (data.end_token < 0 && strcmp(data.joined, "none") != 0 && m->tokenizer)
        text->end_token = pha__tokenizer_eot(m->tokenizer);
    return PHA_OK;
}

pha_status pha__eval_open(pha__eval_subject *s, const pha_eval_options *o)
{
    const char *split = o->split ? o->split : "valid";
    if (!o->model || !o->data) FAIL(USAGE, "an evaluation needs a model folder and a data folder");
    if (o->rope_theta != 0 && !pha__in_range(o->rope_theta, 1.5, 1e12))
        FAIL(USAGE, "rope_theta = %g is out of range (1.5 to 1e12)", o->rope_theta);
    TRY(pha__weights_check(o->weights));
    TRY(pha_model_open(&s->model, o->model));
    TRY(pha__tokens_open(&s->tokens, o->data, split, true));
    TRY(check_tokenizer(s->model, s->tokens, o->data));
    TRY(pha__model_verify(s->model));
    TRY(text_of(&s->text, s->model, o->data, split));
    TRY(pha__device_open(&s->device, NULL, o->threads));
    pha__config config = s->model->config;
    TRY(pha__config_rope(&config, o->rope_theta, s->model->folder));
    return pha__weights_place(&s->weights, &config, s->model->store, s->device,
                              o->precision == PHA_BF16 ? PHA__BF16 : PHA__F32, o->weights);
}

void pha__eval_close(pha__eval_subject *s)
{
    pha__weights_close(&s->weights);
    pha__device_close(s->device);
    pha__tokens_close(s->tokens);
    pha_model_close(s->model);
}
