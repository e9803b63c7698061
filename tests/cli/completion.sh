pha completion bash | bash -n && source <(pha completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pha; echo "${COMPREPLY[@]}"; }
try pha tr
try pha train --sche
try pha train --schedule p
try pha help in
try pha bench --zz
pha completion zsh | head -1
pha completion tcsh
