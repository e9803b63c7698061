/* inspect.h -- the views of pha_inspect, as text or JSON */
#ifndef PHA__INSPECT_H
#define PHA__INSPECT_H

#include "runtime/look/subject.h"

pha_status pha__inspect_mixing(pha__str *out, const pha__subject *s, const pha_inspect_options *o);
pha_status pha__inspect_summary(pha__str *out, const pha__subject *s, const pha_inspect_options *o);

#endif
