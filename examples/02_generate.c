/* 02_generate.c -- text from a model: pha_model_open, pha_session_open, pha_generate
 *
 *     02_generate MODEL PROMPT
 */
#include <stdio.h>
#include <string.h>

#include "pha.h"

static bool print(void *user, const char *text, size_t size)
{
    (void)user;
    fwrite(text, 1, size, stdout); /* whole characters only */
    fflush(stdout);
    return true; /* go on */
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL PROMPT\n", argv[0]);
        return 2;
    }
    pha_model *model = NULL;
    pha_session *session = NULL;
    pha_session_options options = {.max_context = 1024};
    pha_generate_options generate = {
        .sample = {.temperature = 0.8, .top_p = 0.95, .seed = 1}, .max_tokens = 40, .text = print};
    pha_generate_result result;
    pha_status status = pha_model_open(&model, argv[1]);
    if (!status) status = pha_session_open(&session, model, &options);
    if (!status) status = pha_generate(session, argv[2], strlen(argv[2]), &generate, &result);
    if (status)
        fprintf(stderr, "%s\n", pha_errmsg());
    else
        printf("\n%lld tokens in %.2f s\n", (long long)result.new_tokens, result.new_seconds);
    pha_session_close(session); /* NULL is allowed */
    pha_model_close(model);
    return status;
}
