/**
 * The panels world: small pictures with exact captions, made on the fly, on which the embedded
 * model was trained and with which anyone can train in minutes. It draws, describes, reads and
 * scores.
 */
package dev.longalign.data.panels;
