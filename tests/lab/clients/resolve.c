/* Resolves a name as a program linked with musl does: resolve NAME [4|6].
 *
 * Prints each address once, in the order of getaddrinfo, and ends with 0; or prints why there is none, with the number
 * of netdb.h, and ends with 1. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found, *entry;
	char text[INET6_ADDRSTRLEN];
	int error;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: resolve NAME [4|6]\n");
		return 2;
	}
	if (argc == 3)
		hints.ai_family = strcmp(argv[2], "6") == 0 ? AF_INET6 : AF_INET;

	error = getaddrinfo(argv[1], NULL, &hints, &found);
	if (error != 0) {
		fprintf(stderr, "%s: %s (%d)\n", argv[1], gai_strerror(error), error);
		return 1;
	}
	for (entry = found; entry != NULL; entry = entry->ai_next) {
		const void *address = entry->ai_family == AF_INET6
			? (const void *)&((struct sockaddr_in6 *)entry->ai_addr)->sin6_addr
			: (const void *)&((struct sockaddr_in *)entry->ai_addr)->sin_addr;

		if (inet_ntop(entry->ai_family, address, text, sizeof(text)) != NULL)
			puts(text);
	}
	freeaddrinfo(found);
	return 0;
}
