/* SPDX-License-Identifier: Apache-2.0 */
/* The requests of the link protocol. Needs no hardware of its own: what it does goes through the
 * cnn_ and timer_ functions. */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "link.h"

#define FIRMWARE_MAJOR 1U
#define FIRMWARE_MINOR 1U

/* What the caller does after it has sent the reply. */
enum server_action { SERVER_NOTHING, SERVER_SET_BAUD, SERVER_RESET };

struct server_reply {
    const uint8_t *bytes; /* encoded; valid until the next request */
    size_t count;         /* 0: nothing is to be sent */
    enum server_action action;
    uint32_t baud; /* for SERVER_SET_BAUD */
};

void server_init(uint32_t boot_id, uint16_t reset_cause, uint32_t core_hz);

/* Carries out a request; one that is repeated is answered as before and not carried out again.
 * may_sleep: whether waiting for the accelerator may put the core to sleep. */
struct server_reply server_handle(const struct link_frame *request, bool may_sleep);

/* Carries a stream on; the reply is a result that has become ready. */
struct server_reply server_poll(void);

/* For the statistics: what came in beside good frames. */
void server_note_bad_frame(void);
void server_note_line_errors(uint32_t count);

#endif
