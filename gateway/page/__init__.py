"""The live page at `/`: hand-written files in `static/`, which are served as they are.

    index.html, page.css           what is there before anything runs
    main.js                        what is asked, and the address that says what is shown
    composer.js, examples.js       the form, and prompts to try
    refused.js                     what the gateway refused, in the form's words
    recent.js                      the list of recent completions
    api.js, sse.js                 the gateway's interface; streams that are resumed
    stage.js, run.js               what is shown, once a frame; one completion of it
    record.js, words.js            what is known of a completion, and its figures in sentences
    transcript.js, growing.js      text and calls; text that grows
    timeline.js, table.js          when what happened, drawn and as a table
    lanes.js, axis.js              which lanes the timeline has, and which seconds of them are shown
    painter.js, canvas.js          how a lane looks; canvases in the style sheet's colours
    figures.js                     numbers for people
    inert.js                       text of models and tools, made harmless

The page is a client like any other: all that it shows comes from `/v1/completions` and `/v1/tools`, with a key where
the gateway wants one. Its files hold no secret and want none.
"""

from gateway.page.files import routes

__all__ = ["routes"]
