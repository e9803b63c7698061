pha help --commands
