/* bench_text.c -- what `pha new` measures of a text: losses of token triples, for the fit of its law (new/fit.py)
 *
 *     bench_text DATA [SCORED]    a data folder of `pha prepare`; JSON on stdout
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "runtime/new/ngram.h"

static pha_status measure(const char *folder, uint64_t scored)
{
    pha__tokens *train, *valid = NULL;
    pha__ngram m;
    TRY(pha__tokens_open(&train, folder, "train", false));
    pha_status status = pha__tokens_open(&valid, folder, "valid", false);
    double begin = pha__seconds();
    if (!status) status = pha__ngram_measure(&m, train, valid, scored);
    if (!status)
        printf("{\"tokens\": %llu, \"vocab_size\": %d, \"trained\": [%llu, %llu, %llu], \"scored\": %llu, "
               "\"loss\": [%.6f, %.6f, %.6f], \"order\": [%.6f, %.6f, %.6f], \"seconds\": %.3f}\n",
               (unsigned long long)pha__tokens_count(train), (int)pha__tokens_vocab(train),
               (unsigned long long)m.trained[0], (unsigned long long)m.trained[1], (unsigned long long)m.trained[2],
               (unsigned long long)m.scored, m.loss[0], m.loss[1], m.loss[2], m.order[0], m.order[1], m.order[2],
               pha__seconds() - begin);
    pha__tokens_close(valid);
    pha__tokens_close(train);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_text DATA [SCORED]\n");
        return 2;
    }
    pha_status status = measure(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 65536);
    if (status) fprintf(stderr, "bench_text: %s\n", pha_errmsg());
    return (int)status;
}
