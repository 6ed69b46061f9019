/** The part of html-to-text 10 that this example uses; the package ships no types. */
declare module 'html-to-text' {
  export interface HtmlToTextOptions {
    wordwrap?: number | false;
    limits?: { maxDepth?: number };
    selectors?: { selector: string; format?: string; options?: Record<string, unknown> }[];
  }
  /** Configures once, converts many. */
  export function compile(options: HtmlToTextOptions): (html: string) => string;
}
