/* version.h - Which release of the library this is. */
#ifndef SW_BASE_VERSION_H
#define SW_BASE_VERSION_H

/* "major.minor.patch", from the build description. */
const char *sw_version(void);

#endif
