# Without a name the person's own shell is meant.
SHELL=/usr/bin/bash pha completion | tail -1
env -u SHELL pha completion | tail -1
SHELL=/bin/fish pha completion | head -1
SHELL=/bin/zsh pha completion | head -1
SHELL=/bin/tcsh pha completion
