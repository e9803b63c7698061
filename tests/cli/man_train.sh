pha help --man train
