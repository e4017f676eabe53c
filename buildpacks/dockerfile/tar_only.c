/*
 * libarchive.a keeps this function beside the table of all formats that it can write, and with
 * that table come libxml2, nettle and more. Its tar writer calls it for sockets alone, which are
 * never written here.
 */
#include <archive.h>
#include <errno.h>

struct archive_entry;
int __archive_write_entry_filetype_unsupported(
	struct archive *a, struct archive_entry *entry, const char *format);

int __archive_write_entry_filetype_unsupported(struct archive *a,
	struct archive_entry *entry __attribute__((unused)), const char *format)
{
	archive_set_error(
		a, EINVAL, "%s: a file that is neither file, folder nor link", format);
	return ARCHIVE_FAILED;
}
