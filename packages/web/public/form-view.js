import { ApiError } from './api.js';
import { find, make, setText } from './dom.js';
import { describeProblem } from './problems.js';
import { secondsLeft } from './times.js';

/** @import { Problem } from './problems.js' */
/** @import { TextKey, Translator } from './i18n.js' */

/** How often the wait is counted down on screen; half a second never skips a number. */
const TICK_MS = 500;

/**
 * @typedef {{ root: HTMLElement, input: HTMLInputElement, error: HTMLElement, describedBy: string[] }} Field
 */

/**
 * A form that sends its values and says what went wrong: at the field it is about, with the focus there, or above all
 * fields when it concerns the whole. The texts follow the language, also those of an error already shown.
 */
export class FormView {
  /** @type {Map<string, Field>} */
  #fields = new Map();
  /** @type {Problem | null} */
  #problem = null;
  #isBusy = false;
  #waitUntilMs = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticker;
  #form;
  #translator;
  #texts;
  #send;
  #alert;
  #wait;
  #submit;

  /**
   * @param {HTMLFormElement} form
   * @param {Translator} translator
   * @param {{ submit: TextKey, busy: TextKey }} texts the button at rest and while the answer is awaited
   * @param {(values: Record<string, string>) => Promise<void>} send rejects with an ApiError
   */
  constructor(form, translator, texts, send) {
    this.#form = form;
    this.#translator = translator;
    this.#texts = texts;
    this.#send = send;
    this.#alert = find(form, '.form-error');
    this.#submit = /** @type {HTMLButtonElement} */ (find(form, '[type="submit"]'));
    this.#wait = make('p', { class: 'form-wait', attributes: { id: `${form.id}-wait` } });
    this.#submit.setAttribute('aria-describedby', this.#wait.id);
    this.#submit.before(this.#wait);
    for (const root of /** @type {NodeListOf<HTMLElement>} */ (form.querySelectorAll('.field'))) this.#adopt(root);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#onSubmit();
    });
    this.render();
  }

  /** @returns {string} what stands in the field now */
  value(/** @type {string} */ name) {
    return this.#fields.get(name)?.input.value ?? '';
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  fill(name, value) {
    const field = this.#fields.get(name);
    if (field !== undefined) field.input.value = value;
  }

  /** Empties the form; a password must not wait behind the signed-in view for the next person at this screen. */
  reset() {
    this.#form.reset();
    for (const { root } of this.#fields.values()) this.#reveal(root, false);
    this.#show(null);
  }

  /** Shows everything again in the present language. */
  render() {
    const { fields, summary } = this.#problem === null
      ? { fields: new Map(), summary: '' }
      : describeProblem(this.#problem, [...this.#fields.keys()], this.#translator);
    for (const [name, field] of this.#fields) {
      const message = fields.get(name) ?? '';
      setText(field.error, message);
      field.input.setAttribute('aria-invalid', String(message !== ''));
      const ids = message === '' ? field.describedBy : [...field.describedBy, field.error.id];
      field.input.setAttribute('aria-describedby', ids.join(' '));
      const button = field.root.querySelector('.reveal');
      if (button !== null) this.#labelReveal(button, field.input.type === 'text');
    }
    this.#renderSummary(summary);
    this.#renderSubmit();
  }

  /** @param {HTMLElement} root */
  #adopt(root) {
    const input = /** @type {HTMLInputElement} */ (find(root, 'input'));
    const hint = root.querySelector('.hint');
    this.#fields.set(input.name, {
      root,
      input,
      error: find(root, '.field-error'),
      describedBy: hint === null ? [] : [hint.id],
    });
    input.addEventListener('input', () => this.#forgive(input.name));
    root.querySelector('.reveal')?.addEventListener('click', () => this.#reveal(root, input.type === 'password'));
  }

  async #onSubmit() {
    if (this.#isBusy) return;
    if (secondsLeft(this.#waitUntilMs, Date.now()) > 0) {
      this.#alert.focus();
      return;
    }
    const missing = [...this.#fields.values()].filter(({ input }) => input.required && input.value === '');
    if (missing.length > 0) {
      this.#show({ status: 0, code: 'required', fields: missing.map(({ input }) => required(input.name)) });
      return;
    }
    this.#isBusy = true;
    this.#show(null);
    try {
      await this.#send(Object.fromEntries([...this.#fields].map(([name, { input }]) => [name, input.value])));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#isBusy = false;
      this.#show(error.problem);
    } finally {
      this.#isBusy = false;
      this.#renderSubmit();
    }
  }

  /** @param {Problem | null} problem */
  #show(problem) {
    this.#problem = problem;
    this.#startWait(problem?.retryAfterSeconds ?? 0);
    this.render();
    if (problem === null) return;
    const first = [...this.#fields.values()].find(({ error }) => error.textContent !== '');
    (first?.input ?? this.#alert).focus();
  }

  /**
   * A field that is being corrected is no longer called wrong.
   *
   * @param {string} name
   */
  #forgive(name) {
    if (this.#problem === null || !this.#problem.fields.some(({ field }) => field === name)) return;
    const fields = this.#problem.fields.filter(({ field }) => field !== name);
    this.#problem = fields.length === 0 ? null : { ...this.#problem, fields };
    this.render();
  }

  /** @param {string} summary */
  #renderSummary(summary) {
    const problem = this.#problem;
    this.#alert.hidden = summary === '';
    if (problem === null || summary === '') {
      this.#alert.replaceChildren();
      return;
    }
    const parts = [make('strong', { text: this.#translator.text('error.title') }), make('span', { text: summary })];
    const isOurFault = problem.code === 'unexpected' || problem.status >= 500;
    if (isOurFault && problem.requestId !== undefined) {
      const text = this.#translator.text('error.reference', { id: problem.requestId });
      parts.push(make('small', { text }));
    }
    this.#alert.replaceChildren(...parts);
  }

  #renderSubmit() {
    const left = secondsLeft(this.#waitUntilMs, Date.now());
    setText(this.#submit, this.#translator.text(this.#isBusy ? this.#texts.busy : this.#texts.submit));
    this.#submit.setAttribute('aria-disabled', String(this.#isBusy || left > 0));
    this.#form.setAttribute('aria-busy', String(this.#isBusy));
    const over = this.#waitUntilMs === 0 ? '' : this.#translator.text('error.wait.over');
    setText(this.#wait, left > 0 ? this.#translator.plural('error.wait', left) : over);
  }

  /** @param {number} seconds */
  #startWait(seconds) {
    clearInterval(this.#ticker);
    this.#waitUntilMs = seconds === 0 ? 0 : Date.now() + seconds * 1000;
    if (seconds === 0) return;
    this.#ticker = setInterval(() => {
      this.#renderSubmit();
      if (Date.now() >= this.#waitUntilMs) clearInterval(this.#ticker);
    }, TICK_MS);
  }

  /**
   * @param {HTMLElement} root
   * @param {boolean} isShown
   */
  #reveal(root, isShown) {
    const input = /** @type {HTMLInputElement} */ (find(root, 'input'));
    const button = root.querySelector('.reveal');
    if (button === null) return;
    input.type = isShown ? 'text' : 'password';
    this.#labelReveal(button, isShown);
  }

  /**
   * @param {Element} button
   * @param {boolean} isShown
   */
  #labelReveal(button, isShown) {
    const verb = this.#translator.text(isShown ? 'field.hide' : 'field.show');
    const suffix = make('span', { class: 'visually-hidden', text: this.#translator.text('field.password.suffix') });
    button.replaceChildren(`${verb} `, suffix);
  }
}

/**
 * @param {string} field
 * @returns {{ field: string, code: string }}
 */
function required(field) {
  return { field, code: 'required' };
}
