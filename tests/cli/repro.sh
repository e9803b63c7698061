# an experiment that comes with pha, by name; what is missing or wrong is told
pha repro systems-10m --dry-run --only attn,gss-hybrid | head -7 | cut -c1-51
pha repro systems-11m; echo $?
pha repro; echo $?
pha repro systems-10m --only attm --dry-run; echo $?
pha repro systems-10m --dry-run --pages-only; echo $?
pha repro systems-10m --texts nowhere --only attn --quiet; echo $?
ls systems-10m
