pha help --man
