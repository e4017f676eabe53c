/* Project quotas: a folder and all that is made in it count for a number, which has limits. */
#include "runtime/disk/quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define BLOCK 1024 /* of limits, whatever the file system has (QIF_DQBLKSIZE) */

static int ask(int dir, int what, uint32_t project, void *data)
{
	return syscall(SYS_quotactl_fd, dir, QCMD(what, PRJQUOTA), project, data) < 0
		       ? -errno
		       : 0;
}

bool quota_enforced(int dir)
{
	struct fs_quota_statv s = {.qs_version = FS_QSTATV_VERSION1};
	const uint16_t wanted = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;

	return ask(dir, Q_XGETQSTATV, 0, &s) == 0 && (s.qs_flags & wanted) == wanted;
}

uint32_t quota_project(int dir)
{
	struct fsxattr x;

	return ioctl(dir, FS_IOC_FSGETXATTR, &x) < 0 ||
			       !(x.fsx_xflags & FS_XFLAG_PROJINHERIT)
		       ? 0
		       : x.fsx_projid;
}

int quota_read(int dir, uint32_t project, struct quota *ret)
{
	struct if_dqblk q = {0};
	int r = ask(dir, Q_GETQUOTA, project, &q);

	*ret = (struct quota){0};
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? 0 : r;
	*ret = (struct quota){.size_bytes = q.dqb_bhardlimit * BLOCK,
		.used_bytes = q.dqb_curspace,
		.files_max = q.dqb_ihardlimit,
		.files = q.dqb_curinodes};
	return 0;
}

int quota_limit(int dir, uint32_t project, uint64_t size_bytes, uint64_t files_max)
{
	struct if_dqblk q = {.dqb_bhardlimit = size_bytes / BLOCK,
		.dqb_bsoftlimit = 0,
		.dqb_ihardlimit = files_max,
		.dqb_valid = QIF_LIMITS};

	return ask(dir, Q_SETQUOTA, project, &q);
}

int quota_give(int dir, uint32_t project)
{
	struct fsxattr x;

	if (ioctl(dir, FS_IOC_FSGETXATTR, &x) < 0)
		return -errno;
	x.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	x.fsx_projid = project;
	return ioctl(dir, FS_IOC_FSSETXATTR, &x) < 0 ? -errno : 0;
}
