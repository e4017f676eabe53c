/*
 * When control cannot start (a damaged database, another key): whoever asks is told why, instead of waiting for an answer
 * that never comes. Apps go on meanwhile; nothing is served but that sentence.
 */
#ifndef CONTROL_REFUSE_H
#define CONTROL_REFUSE_H

/*
 * Answers every request on the listening socket with 503 for so long: root gets the reason, others where it is to be read.
 * Blocks.
 */
void refuse_calls(int listen_fd, const char *why, int for_ms);

#endif
