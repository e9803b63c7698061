/* convert.h -- a model of one architecture made of a trained one of another (baselines.md 8 (b)) */
#ifndef PHA__CONVERT_H
#define PHA__CONVERT_H

#include "runtime/train/trainer.h"

typedef struct pha__conversion {
    const pha_convert_options *o;
    pha_convert_result *result;
    pha_model *teacher;
    pha__lesson lesson;
    pha_trainer *t;
    pha__claim claim;      /* of the folder to write */
    char *checkpoint;      /* OUT.converting */
    int64_t eval_tokens;
    bool kept;             /* the checkpoint is that of t->step */
} pha__conversion;

/* convert_measure.c: on the validation split, or the training split where there is none. Mean per token, nats: what is
 * minimised, and the KL divergence of the weights. */
pha_status pha__measure_lesson(const pha__conversion *c, double *loss, double *kl);
/* Perplexity of the teacher; of the model that the trainer's weights make. */
pha_status pha__measure_teacher(const pha__conversion *c, double *ppl);
pha_status pha__measure_pupil(const pha__conversion *c, double *ppl);

#endif
