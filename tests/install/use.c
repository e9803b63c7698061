/* use.c -- the smallest program that uses an installed libpha */
#include <pha.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("libpha %s, %s\n", pha_version(), pha_status_text(PHA_OK));
    return strcmp(pha_status_text(PHA_OK), "success") != 0;
}
