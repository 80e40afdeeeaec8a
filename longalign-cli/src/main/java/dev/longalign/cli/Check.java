package dev.longalign.cli;

/**
 * One line of {@code longalign doctor}.
 *
 * @param area cpu, memory, java, libraries, gpu or files
 * @param name what was looked at
 * @param status whether it can be used
 * @param found what is there
 * @param remedy what to do, or null
 */
record Check(String area, String name, Status status, String found, String remedy) {

  enum Status {
    OK,
    /** Works, but slower or with less than it could. */
    LIMITED,
    /** Absent and needed only for something optional. */
    ABSENT,
    /** Absent or broken, and sampling on this machine needs it. */
    FAILED
  }

  static Check ok(String area, String name, String found) {
    return new Check(area, name, Status.OK, found, null);
  }
}
