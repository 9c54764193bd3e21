//! What a person does with the page: finds by words and labels, clicks, types.

use serde_json::json;

use crate::browser::Browser;

/// W3C's name of an element in an answer.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

impl Browser {
    fn try_find(&self, using: &str, value: &str) -> Option<String> {
        let found = self
            .try_post("/element", &json!({"using": using, "value": value}))
            .ok()?;
        found[ELEMENT].as_str().map(str::to_owned)
    }

    /// The element, once it is there.
    #[track_caller]
    fn find(&self, using: &str, value: &str) -> String {
        self.wait(value, || self.try_find(using, value))
    }

    /// Clicks what a selector names, once it can be clicked.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.wait(selector, || {
            let element = self.try_find("css selector", selector)?;
            self.try_post(&format!("/element/{element}/click"), &json!({}))
                .ok()
        });
    }

    /// Clicks the button or link with these words.
    #[track_caller]
    pub(crate) fn press(&self, words: &str) {
        let path =
            format!("//*[self::button or self::a or self::summary][normalize-space(.)='{words}']");
        self.wait(words, || {
            let element = self.try_find("xpath", &path)?;
            self.try_post(&format!("/element/{element}/click"), &json!({}))
                .ok()
        });
    }

    fn labelled(words: &str) -> String {
        format!("//*[@id=//label[normalize-space(.)='{words}']/@for]")
    }

    /// Fills the field with this label as a person does: by keys.
    #[track_caller]
    pub(crate) fn fill(&self, label: &str, text: &str) {
        self.fill_element(&self.find("xpath", &Self::labelled(label)), text);
    }

    /// Fills the field with this label within the part with this title.
    #[track_caller]
    pub(crate) fn fill_in(&self, part: &str, label: &str, text: &str) {
        let within = format!("//fieldset[legend[normalize-space(.)='{part}']]");
        let id = format!("{within}//label[normalize-space(.)='{label}']/@for");
        self.fill_element(&self.find("xpath", &format!("{within}//*[@id={id}]")), text);
    }

    /// Presses the button with these words within the part with this title.
    #[track_caller]
    pub(crate) fn press_in(&self, part: &str, words: &str) {
        let within = format!("//fieldset[legend[normalize-space(.)='{part}']]");
        let element = self.find("xpath", &format!("{within}//button[.='{words}']"));
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Presses the button with these words in the same line as what a selector names.
    #[track_caller]
    pub(crate) fn press_beside(&self, selector: &str, words: &str) {
        let script = "const line = document.querySelector(arguments[0]).closest('li');
            [...line.querySelectorAll('button')].find((b) => b.textContent === arguments[1]).click()";
        self.run(script, &json!([selector, words]));
    }

    /// The text of what a selector names, if it is there.
    pub(crate) fn text_of(&self, selector: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? null";
        let text = self.run(script, &json!([selector]));
        text.as_str().map(str::to_owned)
    }

    /// What stands in a field.
    pub(crate) fn value_of(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0]).value";
        let value = self.run(script, &json!([selector]));
        value.as_str().expect("a field").to_owned()
    }

    /// The words of what has the focus.
    pub(crate) fn focused(&self) -> String {
        let words = self.run("return document.activeElement.textContent", &json!([]));
        words.as_str().unwrap_or_default().to_owned()
    }

    /// The tabulator, wherever the focus is.
    pub(crate) fn tab(&self) {
        for kind in ["rawKeyDown", "keyUp"] {
            let key =
                json!({"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            self.devtools("Input.dispatchKeyEvent", &key);
        }
    }

    #[track_caller]
    fn fill_element(&self, element: &str, text: &str) {
        self.post(&format!("/element/{element}/clear"), &json!({}));
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": text }),
        );
    }

    /// Chooses the option with this value in the select that a selector names.
    #[track_caller]
    pub(crate) fn choose(&self, selector: &str, value: &str) {
        self.click(&format!("{selector} option[value=\"{value}\"]"));
    }

    /// Presses keys where the focus is.
    pub(crate) fn keys(&self, keys: &str) {
        let element = self.run("return document.activeElement", &json!([]));
        let element = element[ELEMENT].as_str().expect("a focus").to_owned();
        self.post(
            &format!("/element/{element}/value"),
            &json!({ "text": keys }),
        );
    }
}
