/* pha.h -- the public interface of libpha
 *
 * This is the only header an application includes; pha/ has its parts, for those who look something up. Every handle is
 * opaque. Functions that can fail return a pha_status; the reason is then in pha_errmsg() of the same thread. Every
 * out-parameter is set to NULL on failure and every close function accepts NULL. Option structs are zero-initialised by
 * the caller: zero means "default".
 *
 * No function crashes at NULL. Where an argument is not said to be optional, NULL is refused with USAGE, and functions
 * without a status do nothing or return 0; the result structs of pha_prepare, pha_generate, pha_train, pha_convert,
 * pha_eval, pha_eval_positions, pha_quantize, pha_task, pha_check and pha_new are optional, and so is `size` of
 * pha_tokenizer_decode.
 *
 * Errors that every function below may return, and that are not repeated there: USAGE (an option out of its range, a
 * folder in the way), BAD_INPUT (a file of the wrong kind, truncated, corrupt, or of another model), IO (missing,
 * unreadable, no permission, disk full), NO_MEMORY. After a failure the arguments are as before, and files that were to
 * be written are either absent or as they were: everything is written beside its place and renamed.
 *
 * Strings and arrays that are passed in are copied or used only during the call, unless said otherwise. Letters: B
 * batch, T tokens in a sequence, V vocabulary, D width of the model. Token ids run from 0 to V - 1.
 */
#ifndef PHA_H
#define PHA_H

#include "pha/status.h"
#include "pha/process.h"
#include "pha/text.h"
#include "pha/tokenizer.h"
#include "pha/data.h"
#include "pha/model.h"
#include "pha/session.h"
#include "pha/train.h"
#include "pha/convert.h"
#include "pha/eval.h"
#include "pha/quantize.h"
#include "pha/exchange.h"
#include "pha/lab.h"
#include "pha/task.h"
#include "pha/inspect.h"
#include "pha/repro.h"
#include "pha/new.h"

#endif
