package dev.cube.master;

import java.util.List;
import java.util.Optional;

/** Templates and the jobs that make them. Thread-safe; calls block and throw {@link MasterException}. */
public interface Templates {
    /** Starts a job that makes a template; returns at once, with the template {@code BUILDING}. */
    TemplateInfo create(CreateTemplate request);

    /** By ID or alias. */
    TemplateInfo get(String idOrAlias);

    List<TemplateInfo> list();

    /** Deletes a template and its files, or cancels the job that makes it. Sandboxes made from it go on. */
    void delete(String idOrAlias);

    /**
     * Log lines of the template's job from {@code offset}, waiting up to a few seconds for the next one while the job
     * runs.
     */
    JobLog log(String templateId, int offset);

    /** Lines, and whether there may be more. */
    record JobLog(List<String> lines, int nextOffset, TemplateInfo.State state, Optional<String> reason) {}
}
