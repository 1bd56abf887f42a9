/* pause.c - runs a program whose calls on files wait until a supervisor lets them go on.
 *
 *   pause SOCKET PROGRAM ARGUMENT...
 *
 * The supervisor gets, over the connected socket of that number, the descriptor that tells it of each call (seccomp's
 * user notification). So it works with programs that make their calls without libc, as those in Go do.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static const unsigned int WATCHED[] = {
    SYS_openat,     SYS_newfstatat, SYS_write,     SYS_pwrite64, SYS_ftruncate, SYS_fsync,     SYS_flock,
    SYS_getdents64, SYS_mkdirat,    SYS_unlinkat,  SYS_linkat,   SYS_renameat,  SYS_renameat2, SYS_fchmodat,
    SYS_utimensat,  SYS_statx,      SYS_faccessat,
#ifdef SYS_open
    SYS_open,       SYS_stat,       SYS_lstat,     SYS_mkdir,    SYS_rmdir,     SYS_unlink,    SYS_rename,
    SYS_link,       SYS_access,     SYS_truncate,
#endif
};

enum { COUNT = sizeof WATCHED / sizeof *WATCHED };

static int listen_to_calls(void)
{
    struct sock_filter code[COUNT + 3];
    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < COUNT; i++)
        code[i + 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WATCHED[i], COUNT - i, 0);
    code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog program = {.len = COUNT + 3, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                        SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

static int send_descriptor(int socket, int file)
{
    char control[CMSG_SPACE(sizeof file)] = {0};
    struct iovec data = {.iov_base = "l", .iov_len = 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(header), &file, sizeof file);
    return sendmsg(socket, &message, 0) == 1 ? 0 : -1;
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 125;
    int supervisor = atoi(arguments[1]);
    int listener = listen_to_calls();
    if (listener < 0 || send_descriptor(supervisor, listener) != 0)
        _exit(126);
    close(listener);
    close(supervisor);
    execv(arguments[2], arguments + 2);
    _exit(127);
}
