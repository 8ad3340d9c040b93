/* A guest for tests/bench/vmnet.sh: gives a network namespace a tap device and carries its frames, as QEMU would for a machine.
 *
 *   vmnet_guest NAMESPACE TAP stream SOCKET    to a stream socket: each frame behind its length (4 bytes, big-endian)
 *   vmnet_guest NAMESPACE TAP handed SOCKET    to the tap that NAME_tap.sock hands out
 *   vmnet_guest NAMESPACE TAP own    OTHER     to the tap OTHER, made here and now, which is for comparison
 *
 * Between two taps segments stay whole (virtio_net_hdr, 10 bytes before each frame), as with a virtio device. Prints "ready". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LENGTH = 4, LONGEST = 65536 + 64, STREAM = 1 << 20 };

static int guest, far;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int make_tap(const char *name, int header) {
  struct ifreq request = {0};
  int fd = open("/dev/net/tun", O_RDWR);
  if (fd < 0) die("/dev/net/tun");
  request.ifr_flags = IFF_TAP | IFF_NO_PI | (header ? IFF_VNET_HDR : 0);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) die(name);
  return fd;
}

static void offload(int fd) {
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) die("TUNSETOFFLOAD");
}

static int join(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int size = 4 << 20, fd = socket(AF_UNIX, SOCK_STREAM, 0);
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die(path);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  return fd;
}

static int handed(const char *path) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fd;
  if (recvmsg(join(path), &message, 0) != 1 || !CMSG_FIRSTHDR(&message)) die("no descriptor");
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  fcntl(fd, F_SETFL, 0);
  return fd;
}

/* Whole frames from one tap to the other. */
static void *carry(void *ends) {
  static __thread unsigned char frame[LONGEST];
  int from = ((int *)ends)[0], to = ((int *)ends)[1];
  for (;;) {
    ssize_t length = read(from, frame, sizeof frame);
    if (length <= 0) die("tap");
    if (write(to, frame, (size_t)length) < 0) continue; /* no room: networks lose frames */
  }
  return 0;
}

/* Frames of the guest, each behind its length. */
static void *to_stream(void *nothing) {
  static unsigned char frame[LENGTH + LONGEST];
  (void)nothing;
  for (;;) {
    ssize_t length = read(guest, frame + LENGTH, LONGEST);
    if (length <= 0) die("tap");
    uint32_t word = htonl((uint32_t)length);
    memcpy(frame, &word, LENGTH);
    for (size_t sent = 0, all = (size_t)length + LENGTH; sent < all;) {
      ssize_t more = write(far, frame + sent, all - sent);
      if (more <= 0) die("socket");
      sent += (size_t)more;
    }
  }
  return 0;
}

static void *from_stream(void *nothing) {
  static unsigned char held[STREAM];
  size_t end = 0;
  (void)nothing;
  for (;;) {
    ssize_t more = read(far, held + end, sizeof held - end);
    if (more <= 0) die("socket");
    end += (size_t)more;
    size_t at = 0;
    uint32_t word;
    while (end - at >= LENGTH) {
      memcpy(&word, held + at, LENGTH);
      size_t length = ntohl(word);
      if (end - at - LENGTH < length) break;
      if (write(guest, held + at + LENGTH, length) < 0) perror("tap");
      at += LENGTH + length;
    }
    memmove(held, held + at, end - at);
    end -= at;
  }
  return 0;
}

int main(int count, char **words) {
  pthread_t one, other;
  char path[256];
  if (count != 5) return 2;
  int stream = !strcmp(words[3], "stream");
  far = stream ? join(words[4]) : !strcmp(words[3], "handed") ? handed(words[4]) : make_tap(words[4], 1);
  snprintf(path, sizeof path, "/run/netns/%s", words[1]);
  int namespace = open(path, O_RDONLY);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) die(path);
  guest = make_tap(words[2], !stream);
  puts("ready");
  fflush(stdout);
  if (stream) {
    pthread_create(&one, 0, to_stream, 0);
    pthread_create(&other, 0, from_stream, 0);
  } else {
    static int out[2], in[2];
    offload(guest);
    offload(far);
    out[0] = in[1] = guest;
    out[1] = in[0] = far;
    pthread_create(&one, 0, carry, out);
    pthread_create(&other, 0, carry, in);
  }
  pthread_join(one, 0);
  return 0;
}
