/**
 * What the library asks of the machine and sets for the process: its cache folder, native libraries
 * unpacked from jars, environment variables and system properties.
 */
package dev.longalign.host;
