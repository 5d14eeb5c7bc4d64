/* version.h -- the version of all that is here. Rockspecs and CHANGELOG.md name it too, and a spec
 * compares them. */
#ifndef SE_VERSION_H
#define SE_VERSION_H

#define SE_VERSION "0.1.0"

#endif
