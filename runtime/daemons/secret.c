/* The key of the secrets in control's database: made once, handed over open. */
#include "runtime/daemons/secret.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/proto.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

static int make_key(int state, struct err *e)
{
	uint8_t key[PROTO_SECRET_SIZE];
	int r;

	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		return err_sys(e, errno, "no random bytes for " SECRET_KEY_NAME);
	r = io_replace_file(state, SECRET_KEY_NAME, key, sizeof(key), 0600);
	explicit_bzero(key, sizeof(key));
	if (r < 0)
		return err_sys(e, -r, "cannot make " SECRET_KEY_NAME);
	log_info("made " SECRET_KEY_NAME ", the key of what is secret in the database: "
		 "a backup of this host needs it");
	return 0;
}

static int check_key(int file, struct err *e)
{
	struct stat st;

	if (fstat(file, &st) < 0)
		return err_sys(e, errno, SECRET_KEY_NAME);
	if (!S_ISREG(st.st_mode) || st.st_size != PROTO_SECRET_SIZE)
		return err_set(e, EBADMSG,
			SECRET_KEY_NAME
			" is no key: it has %lld bytes instead of %d; put "
			"the one of this host's backup in its place",
			(long long)st.st_size, PROTO_SECRET_SIZE);
	if (st.st_uid != 0 || (st.st_mode & 077))
		return err_set(e, EBADMSG,
			SECRET_KEY_NAME
			" can be read by others than root: chown root and "
			"chmod 600 it");
	return 0;
}

int secret_key_open(const struct settings *s, struct err *e)
{
	int state autoclose = open(s->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int file autoclose = -1, r = 0;

	if (state < 0)
		return err_sys(e, errno, "cannot open %s", s->state);
	if (faccessat(state, SECRET_KEY_NAME, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
		errno == ENOENT)
		r = make_key(state, e);
	if (r == 0) {
		file = openat(state, SECRET_KEY_NAME,
			O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		r = file < 0 ? err_sys(e, errno, "cannot open " SECRET_KEY_NAME)
			     : check_key(file, e);
	}
	return r < 0 ? err_add(e, "%s", s->state) : TAKE_FD(file);
}
