/* comma.h -- a locale with decimal commas, made here, so that a test doesn't depend on which ones are installed */
#ifndef COMMA_H
#define COMMA_H

#include <locale.h>
#include <stdbool.h>

#include "support/check.h"

/* From now on printf writes 0,5 (setlocale(LC_ALL, "C") ends it). false: this system can't make locales. */
static inline bool use_commas(void)
{
    char folder[256], command[1024];
    check_folder(folder);
    snprintf(command, sizeof command,
             "cd '%s' && printf 'LC_NUMERIC\\ndecimal_point \",\"\\nthousands_sep \".\"\\n"
             "grouping 3;3\\nEND LC_NUMERIC\\n' >source && localedef -c -i source ./comma >/dev/null 2>&1; "
             "[ -f comma/LC_NUMERIC ]", /* it warns of the other parts */
             folder);
    bool made = system(command) == 0;
    setenv("LOCPATH", folder, 1);
    bool used = made && setlocale(LC_ALL, "comma");
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    if (system(command)) print_message("%s stays behind\n", folder);
    unsetenv("LOCPATH");
    if (!used) print_message("localedef makes no locale here; left out\n");
    return used;
}

#endif
