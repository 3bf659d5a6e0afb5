package dev.cube.master;

import dev.cube.cubelet.Template;

/**
 * A hold on what a sandbox is made from, whose files stay until it is let go of.
 *
 * @param row      the template's
 * @param template what to start
 */
record TemplateSource(TemplateRow row, Template template) {}
