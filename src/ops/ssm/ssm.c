/* ssm.c -- the row of the op; see ssm.h */
#include "ops/ssm/ssm.h"

#include <math.h>

static pha_status check_modes(const pha__shape *s, int i, bool may_share)
{
    int32_t P = s->in[PHA__SSM_X].width, N = s->in[PHA__SSM_C_RE].width;
    bool rows = s->in[i].rows == P || (may_share && s->in[i].rows == 1);
    if (rows && s->in[i].width == N) return PHA_OK;
    FAIL(BAD_INPUT, "ssm: input %d is (%d, %d); there are %d channels with %d modes", i, s->in[i].rows, s->in[i].width,
         P, N);
}

static pha_status shape(pha__shape *s)
{
    int32_t P = s->in[PHA__SSM_X].width;
    static const int modes[] = {PHA__SSM_C_RE, PHA__SSM_C_IM, PHA__SSM_RATE, PHA__SSM_IM, PHA__SSM_B_RE, PHA__SSM_B_IM};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        bool shared = modes[i] == PHA__SSM_RATE || modes[i] == PHA__SSM_IM;
        if (s->in[modes[i]].present) TRY(check_modes(s, modes[i], shared));
    }
    if (s->in[PHA__SSM_RATE].rows != s->in[PHA__SSM_IM].rows)
        FAIL(BAD_INPUT, "ssm: real and imaginary parts of %d and %d rows", s->in[PHA__SSM_RATE].rows,
             s->in[PHA__SSM_IM].rows);
    if (s->in[PHA__SSM_B_RE].present != s->in[PHA__SSM_B_IM].present)
        FAIL(BAD_INPUT, "ssm: B has only one of its parts");
    if (s->in[PHA__SSM_D].width != P) FAIL(BAD_INPUT, "ssm: d has width %d, x %d", s->in[PHA__SSM_D].width, P);
    if (s->in[PHA__SSM_LOG_DT].present && s->in[PHA__SSM_LOG_DT].width != P)
        FAIL(BAD_INPUT, "ssm: log_dt has width %d, x %d", s->in[PHA__SSM_LOG_DT].width, P);
    s->width = P;
    return PHA_OK;
}

static int64_t rounded(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static int64_t channels(const pha__shape *s) { return rounded(s->in[PHA__SSM_X].width, PHA__SSM_CHANNELS); }

/* Transform of K, and the table of factors. */
static int64_t saved(const pha__shape *s)
{
    int64_t n = pha__ssm_points(s->T);
    return ((const pha__ssm_attr *)s->attr)->gradients ? 2 * n * (channels(s) + 1) : 0;
}

/* What backward of one sequence adds to: the transform of dK, and dd. */
static int64_t sums(const pha__shape *s, bool shared)
{
    (void)shared;
    return ((const pha__ssm_attr *)s->attr)->gradients ? channels(s) * (2 * pha__ssm_points(s->T) + 1) : 0;
}

static pha__state_layout state(const pha__shape *s, int64_t max_context)
{
    (void)max_context;
    int64_t modes = rounded(s->in[PHA__SSM_C_RE].width, PHA__SSM_MODES);
    return (pha__state_layout){.fixed = (size_t)(channels(s) * modes * 2) * sizeof(float)};
}

static bool apart(const void *attr) { return ((const pha__ssm_attr *)attr)->gradients; }

/* Per channel: K by its modes, and of each token two transforms of 2 n points (backward three) and their product; by
 * recurrence fourteen operations per mode. */
static double flops(const pha__shape *s, pha__pass pass, int64_t context)
{
    (void)context;
    double N = s->in[PHA__SSM_C_RE].width, P = s->width, T = s->T, tokens = (double)s->B * T;
    if (!apart(s->attr)) return P * tokens * (14 * N + 2);
    double transform = 5 * log2(2 * (double)pha__ssm_points(s->T));
    return pass == PHA__FORWARD ? P * (4 * N * T + tokens * (2 * transform + 8))
                                : P * (8 * N * T + tokens * (3 * transform + 18));
}

const pha__op pha__op_ssm = {
    .name = "ssm",
    .equation = "y_t = sum_(s<=t) K[t-s] x_s + d x_t, K[l] = kappa Re sum_n w_n e^(lambda_n D l)    (algorithms.md 2)",
    .min_in = PHA__SSM_D + 1,
    .max_in = PHA__SSM_INPUTS,
    .params = (PHA__IN(PHA__SSM_INPUTS) - 1) & ~PHA__IN(PHA__SSM_X),
    .keep_in = PHA__IN(PHA__SSM_INPUTS) - 1,
    .shape = shape,
    .saved = saved,
    .sums = sums,
    .state = state,
    .apart = apart,
    .flops = flops,
    .state_class = PHA__STATE_RECURRENT,
};
