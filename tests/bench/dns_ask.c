/*
 * Asks nameservers of 127.0.0.1 and writes down how long each answer took, in nanoseconds. For tests/bench/dns.py.
 *
 *   dns_ask ask TYPE PATTERN COUNT MODULUS MICROSECONDS BLOCK PORT...
 *     COUNT questions to each port, one at a time, BLOCK of them to one port before the next one's turn; which port comes first
 *     rotates. Questions to one port begin at least MICROSECONDS apart. `#` in PATTERN is a number of seven digits: 0 to MODULUS-1 in turn, or, for 0,
 *     one that no other question of this run has. Prints for each: index of the port, nanoseconds (-1: no answer in 10 s), code,
 *     number of answers.
 *   dns_ask hold PATTERN INFLIGHT SECONDS PORT
 *     Keeps INFLIGHT distinct questions (A) unanswered for SECONDS: each answer is followed by a new question. Prints "full" when that many
 *     are out, and at the end: how many were sent, answered, and the median age of an answer in milliseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS 16 /* of one program; each has 65,536 ids */

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* A question with OPT, as resolvers ask; gives its length. */
static int question(uint8_t *out, uint16_t id, const char *pattern, long number, int type)
{
	static const uint8_t opt[11] = {0, 0, 41, 4, 208};
	char name[256] = "";
	const char *hash = strchr(pattern, '#');
	if (hash)
		snprintf(name, sizeof name, "%.*s%07ld%s", (int)(hash - pattern), pattern, number, hash + 1);
	else
		snprintf(name, sizeof name, "%s", pattern);
	memset(out, 0, 12);
	out[0] = id >> 8, out[1] = id & 255, out[2] = 1, out[5] = 1, out[11] = 1;
	uint8_t *at = out + 12;
	for (char *label = strtok(name, "."); label; label = strtok(NULL, ".")) {
		size_t size = strlen(label);
		*at++ = size;
		memcpy(at, label, size);
		at += size;
	}
	*at++ = 0;
	*at++ = type >> 8, *at++ = type & 255, *at++ = 0, *at++ = 1;
	memcpy(at, opt, sizeof opt);
	return at + sizeof opt - out;
}

static int connected(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 4 << 20;
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
		die("cannot open a socket");
	/* Many answers may come at once; FORCE is for root. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

static void exchange(int fd, int target, uint16_t id, const char *pattern, long number, int type)
{
	uint8_t message[512], reply[65535];
	int length = question(message, id, pattern, number, type);
	int64_t begin = now(), end = begin + 10000000000LL;
	if (send(fd, message, length, 0) != length)
		die("cannot send");
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		if (poll(&ready, 1, (end - now()) / 1000000) <= 0) {
			printf("%d -1 -1 0\n", target);
			return;
		}
		ssize_t got = recv(fd, reply, sizeof reply, 0);
		int64_t took = now() - begin;
		if (got < 0)
			die("cannot receive");
		/* A late answer to an earlier question is not this one's. */
		if (got < 12 || reply[0] != message[0] || reply[1] != message[1])
			continue;
		printf("%d %lld %d %d\n", target, (long long)took, reply[3] & 15, reply[6] << 8 | reply[7]);
		return;
	}
}

static int ask(char **words, int count)
{
	int type = atoi(words[0]), fds[16], targets = count - 6;
	const char *pattern = words[1];
	long each = atol(words[2]), modulus = atol(words[3]), block = atol(words[5]), number = 0;
	int64_t pause = atol(words[4]) * 1000LL;
	if (targets < 1 || targets > 16 || block < 1)
		return 2;
	for (int i = 0; i < targets; i++)
		fds[i] = connected(atoi(words[6 + i]));
	for (long turn = 0; turn * block < each; turn++)
		for (int i = 0; i < targets; i++) {
			int target = (turn + i) % targets;
			int64_t due = now();
			for (long step = 0; step < block; step++, number++, due += pause) {
				int64_t early = due - now();
				if (early > 0)
					nanosleep(&(struct timespec){early / 1000000000, early % 1000000000}, NULL);
				long label = modulus ? (turn * block + step) % modulus : number;
				exchange(fds[target], target, number & 65535, pattern, label, type);
			}
		}
	return 0;
}

static int by_size(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
	return (a > b) - (a < b);
}

static int hold(char **words)
{
	static int64_t sent_at[SOCKETS][65536], ages[4000000];
	const char *pattern = words[0];
	long wanted = atol(words[1]), sent = 0, answered = 0, out = 0;
	int64_t begin = now(), end = begin + atol(words[2]) * 1000000000LL;
	struct pollfd fds[SOCKETS];
	uint32_t next[SOCKETS] = {0};
	uint8_t message[512];
	int full = 0;
	if (wanted > SOCKETS * 60000L)
		return 2;
	for (int i = 0; i < SOCKETS; i++)
		fds[i] = (struct pollfd){.fd = connected(atoi(words[3])), .events = POLLIN};
	while (now() < end) {
		/* A few at a time, so that a socket's buffer on the way does not overflow. */
		for (int burst = 0; burst < 20 && out < wanted; burst++, sent++) {
			int at = sent % SOCKETS;
			while (sent_at[at][next[at] & 65535])
				next[at]++;
			uint16_t id = next[at]++;
			int length = question(message, id, pattern, sent, 1);
			if (send(fds[at].fd, message, length, 0) != length)
				break;
			sent_at[at][id] = now();
			out++;
		}
		if (out == wanted && !full++) {
			printf("full\n");
			fflush(stdout);
		}
		if (poll(fds, SOCKETS, 1) <= 0)
			continue;
		for (int i = 0; i < SOCKETS; i++) {
			ssize_t got;
			while (fds[i].revents && (got = recv(fds[i].fd, message, sizeof message, MSG_DONTWAIT)) >= 2) {
				int64_t *since = &sent_at[i][message[0] << 8 | message[1]];
				if (*since && answered < 4000000)
					ages[answered++] = now() - *since;
				out -= *since != 0;
				*since = 0;
			}
		}
	}
	qsort(ages, answered, sizeof ages[0], by_size);
	printf("%ld %ld %.0f\n", sent, answered, answered ? ages[answered / 2] / 1e6 : 0.0);
	return 0;
}

int main(int count, char **words)
{
	int status = 2;
	if (count > 8 && !strcmp(words[1], "ask"))
		status = ask(words + 2, count - 2);
	if (count == 6 && !strcmp(words[1], "hold"))
		status = hold(words + 2);
	if (status == 2)
		fprintf(stderr, "dns_ask: error: wrong words; see the head of dns_ask.c\n");
	return status;
}
