/* sockets.h -- making sockets: the one that listens, and those that it accepts. All are
 * non-blocking, closed on exec, and raise no signal. */
#ifndef SE_SOCKETS_H
#define SE_SOCKETS_H

#include <stddef.h>
#include <sys/socket.h>

/* The socket, or -1 with the reason as people write it. */
int se_socket_listen(const char *host, int port, char *reason, size_t size);
/* The next connection and where it comes from, or -1 with errno. */
int se_socket_accept(int listening, struct sockaddr_storage *peer);
/* A descriptor that is good for nothing but to be given up when no other is left; or -1. */
int se_socket_reserve(void);
/* Lets this process have so many descriptors, as far as the system does; how many of them it has. */
int se_socket_room(int wanted);

#endif
