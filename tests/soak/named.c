/* Preloaded into slowhttptest, which names no host in a handshake, as the router demands: names that of $SERVER_NAME. */
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <stdlib.h>

SSL *SSL_new(SSL_CTX *ctx)
{
	SSL *(*real)(SSL_CTX *) = (SSL * (*)(SSL_CTX *)) dlsym(RTLD_NEXT, "SSL_new");
	SSL *ssl = real ? real(ctx) : NULL;

	if (ssl)
		SSL_set_tlsext_host_name(ssl, getenv("SERVER_NAME"));
	return ssl;
}
