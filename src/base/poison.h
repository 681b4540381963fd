/* poison.h - Functions nobody here may call; included before every file by the build. */
#ifndef SW_BASE_POISON_H
#define SW_BASE_POISON_H

#include <stdio.h>
#include <string.h>

#pragma GCC poison sprintf vsprintf strcpy strcat strtok gets

#endif
