/* limits.h - What this process allows itself. */
#ifndef SW_CLI_LIMITS_H
#define SW_CLI_LIMITS_H

/* Each thread of a target takes files: as many as this process may open. To be called after a command has been started,
 * which keeps its own limit. */
void sw_files_allow(void);

#endif
