/* notify.h -- a service manager (systemd): sockets that it opened, and telling it when the server is ready */
#ifndef CLI_SERVE_NOTIFY_H
#define CLI_SERVE_NOTIFY_H

/* The socket that was passed to this process ($LISTEN_FDS), -1: none. */
int notify_listener(void);
/* "READY=1", "STOPPING=1": to $NOTIFY_SOCKET, if it is set. */
void notify_tell(const char *state);

#endif
