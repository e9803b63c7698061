pha help trian
